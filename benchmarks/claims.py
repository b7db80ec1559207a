"""Claims of the field, measured: each a table with intervals, a picture, and whether it holds.

    python benchmarks/claims.py [NAME ...] [--seeds N]

Without a name all of them run, each below ten minutes of one core. Rewrites what it ran in
benchmarks/results/claims.json, the pages benchmarks/results/claims.md and the picture
benchmarks/results/claims/NAME.png; what others measured stays.
"""

from claims.running import main  # the package of that name, which Python finds before this file

if __name__ == "__main__":
    main(__doc__)
