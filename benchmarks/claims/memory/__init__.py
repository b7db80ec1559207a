"""Networks that remember: content-addressable memories, memories over time, attention."""
