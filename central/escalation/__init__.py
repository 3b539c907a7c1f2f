"""What happens when nobody answers: an alarm's plan as rows with due times, moved on in the database."""
