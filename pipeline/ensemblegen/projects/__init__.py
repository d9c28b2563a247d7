"""Many pipelines in one repository: their files, their templates, the models that they share."""
