"""What is told to the outside about health: metrics in the words of Prometheus."""
