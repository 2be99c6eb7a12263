"""Networks that no library brings as they were published, and the layouts of what they give."""
