//! titan-tools
