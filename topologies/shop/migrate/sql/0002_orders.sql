CREATE TABLE orders (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    item         text NOT NULL REFERENCES items,
    quantity     integer NOT NULL CHECK (quantity > 0),
    status       text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'processed')),
    total_cents  bigint,
    created_at   timestamptz NOT NULL DEFAULT now(),
    processed_at timestamptz,
    CHECK ((status = 'processed') = (total_cents IS NOT NULL AND processed_at IS NOT NULL))
);
