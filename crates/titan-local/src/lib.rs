//! titan-local
