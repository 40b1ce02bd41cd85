"""Transfer Learning Studio: fine-tune pretrained vision models on your own images, in a window and in a terminal."""

__version__ = "0.1.0"
