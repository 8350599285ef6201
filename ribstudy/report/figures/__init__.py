"""The figures of the chapters, one module for each subject, and tables that belong to them. Results are passed as arguments."""
