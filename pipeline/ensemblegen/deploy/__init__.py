"""Putting a packaged repository on Amazon SageMaker, with every call in the open."""
