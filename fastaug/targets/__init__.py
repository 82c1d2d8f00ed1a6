"""What follows an image: masks, boxes, points, labels and weights, from the same draw."""
