//! titan-providers
