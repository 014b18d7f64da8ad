(function_declaration name: (identifier) @name) @def.function
(generator_function_declaration name: (identifier) @name) @def.function
(method_definition name: (_) @name) @def.method
(variable_declarator name: (identifier) @name value: [(arrow_function) (function_expression) (generator_function)]) @def.function
(program (lexical_declaration (variable_declarator name: (identifier) @name value: [(string) (number) (object) (array) (call_expression) (new_expression)]) @def.constant))
(program (export_statement (lexical_declaration (variable_declarator name: (identifier) @name value: [(string) (number) (object) (array) (call_expression) (new_expression)]) @def.constant)))
(pair key: (property_identifier) @name value: [(arrow_function) (function_expression)]) @def.method
(assignment_expression left: (member_expression property: (property_identifier) @name) right: [(arrow_function) (function_expression)]) @def.function
(import_statement) @import
(export_statement source: (string)) @import
(variable_declarator name: (_) value: (call_expression function: (identifier) @_require (#eq? @_require "require"))) @import
(call_expression function: (identifier) @callee)
(call_expression function: (member_expression object: (_) @receiver property: [(property_identifier) (private_property_identifier)] @callee))
(new_expression constructor: (identifier) @callee)
(new_expression constructor: (member_expression object: (_) @receiver property: (property_identifier) @callee))
(arguments (identifier) @use)
(variable_declarator name: (identifier) @var value: (_) @varvalue)
(assignment_expression left: (member_expression object: (this) property: [(property_identifier) (private_property_identifier)] @var) right: (_) @varvalue)
(for_in_statement left: (identifier) @var right: (_) @vareach)
(call_expression function: (member_expression object: (_) @vareach) arguments: (arguments . (arrow_function parameter: (identifier) @var)))
(call_expression function: (identifier) @test arguments: (arguments . (string (string_fragment) @testname))) @testcall
