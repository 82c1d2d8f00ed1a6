"""What the model sees, as a contact sheet."""
