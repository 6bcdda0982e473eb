"""Paired studies: any set of trainings, compared over seeds with equal starts and budgets, from one file."""
