"""The coordinator: turns published events into what happens to cases, and cases into questions, progress and reports."""
