"""Layer-normalised recurrent layers and their cells."""
