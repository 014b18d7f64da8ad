(pair key: (string (string_content) @name)) @def.key
