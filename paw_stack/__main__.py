"""`python -m paw_stack`: the command line where no script is on the path."""

from paw_stack.cli import main

if __name__ == "__main__":
    main()
