CREATE TABLE items (
    name             text PRIMARY KEY,
    unit_price_cents integer NOT NULL CHECK (unit_price_cents > 0)
);

INSERT INTO items (name, unit_price_cents) VALUES
    ('apple', 25),
    ('book', 1250),
    ('teapot', 3495);
