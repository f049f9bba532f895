//! The client library: typed calls, endpoint lists, redirects, deadlines, retries, resumable watch.
