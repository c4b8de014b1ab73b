"""The Neocognitron's cells, and the seed cells by which they learn."""
