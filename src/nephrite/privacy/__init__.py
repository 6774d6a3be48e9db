"""What is known of a patient and must not travel: names, and what headers tell beside geometry and intensities."""
