"""ImageDataGenerator's augmentation: its draws, its matrices, its quirks."""
