//! What may be said and when two values are equal (RFC 4512, 4517, 4518).
