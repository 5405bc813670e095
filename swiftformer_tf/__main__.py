"""`python -m swiftformer_tf`: the command without its installed script."""

from swiftformer_tf.cli import main

if __name__ == "__main__":
    main()
