"""The benchmark on the embedded world: teacher, student, and what distillation adds to its control."""
