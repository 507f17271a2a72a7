"""The files of a run: writes them, reads them, and resumes the run from them."""
