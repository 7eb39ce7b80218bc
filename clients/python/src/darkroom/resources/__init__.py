"""Operations on the API's resources."""
