"""What to do, worked out before anything is done: graph, plan and frontier, all of it pure."""
