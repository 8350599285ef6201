"""Which results each chapter shows, and the plan that computes them: jobs, variants, batches."""
