class Sharpness:
    def __init__(self,*a): pass
    def apply(self, images, numbers, rows): pass
