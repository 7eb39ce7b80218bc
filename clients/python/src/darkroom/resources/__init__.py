"""Operations on the API's resources, without I/O."""
