"""The studies, one claim a file; `jaxopt_notes.studies.study` says what stands in each."""
