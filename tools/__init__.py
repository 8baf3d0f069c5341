"""What a clone needs beside the product: locks, the reference and the site of the documentation."""
