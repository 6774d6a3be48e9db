"""What scores and label maps say that were made elsewhere: read, checked, scored, judged as those of a trial."""
