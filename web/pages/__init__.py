"""The pages people use: handlers parse, call the flow and render. No rule about jobs or money lives here."""
