"""Bodies of the annotated objects: vehicles, people, cycles and street objects."""
