"""The command line `python -m ribstudy`: it reads arguments and prints results, and leaves all work to the other packages."""
