"""The way back: param groups, states and schedulers as torch and Keras hold them."""
