"""What a run is asked for: every setting, its rules, and the options made from them."""
