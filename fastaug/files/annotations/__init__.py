"""Files that say what is on pictures: COCO, YOLO, Pascal VOC."""
