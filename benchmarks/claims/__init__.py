"""Claims of the field as experiments: `frame` says what one is, `registry` names them, a file holds each."""
