"""Does the method work? Tables, curves and contact sheets from photographs that no model was trained on."""
