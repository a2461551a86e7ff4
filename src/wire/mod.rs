//! BER, requests, responses, controls (RFC 4511).
