//! The line that tells a whole connection.
