"""What people get of the language model backend: reports, chat, answers, export."""
