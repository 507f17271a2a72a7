"""The way back: param groups, states and schedulers in torch's and Keras' form."""
