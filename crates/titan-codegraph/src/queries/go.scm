(function_declaration name: (identifier) @name) @def.function
(method_declaration receiver: (parameter_list (parameter_declaration type: [(type_identifier) @owner (pointer_type (type_identifier) @owner) (generic_type type: (type_identifier) @owner) (pointer_type (generic_type type: (type_identifier) @owner))])) name: (field_identifier) @name) @def.method
(method_elem name: (field_identifier) @name) @def.method
(type_spec name: (type_identifier) @name type: (interface_type)) @def.interface
(type_spec name: (type_identifier) @name type: (struct_type)) @def.class
(type_spec name: (type_identifier) @name type: [(type_identifier) (function_type) (map_type) (slice_type) (qualified_type) (pointer_type) (channel_type) (array_type)]) @def.type
(type_alias name: (type_identifier) @name) @def.type
(const_spec name: (identifier) @name) @def.constant
(source_file (var_declaration (var_spec name: (identifier) @name) @def.constant))
(field_declaration !name type: [(type_identifier) @base (qualified_type name: (type_identifier) @base)])
(import_spec) @import
(call_expression function: (identifier) @callee)
(call_expression function: (selector_expression operand: (_) @receiver field: (field_identifier) @callee))
(argument_list (identifier) @use)
(type_identifier) @use
(short_var_declaration left: (expression_list . (identifier) @var) right: (expression_list . (composite_literal type: (type_identifier) @vartype)))
(short_var_declaration left: (expression_list . (identifier) @var) right: (expression_list . (unary_expression operand: (composite_literal type: (type_identifier) @vartype))))
(var_spec name: (identifier) @var type: [(type_identifier) @vartype (pointer_type (type_identifier) @vartype)])
(parameter_declaration name: (identifier) @var type: [(type_identifier) @vartype (pointer_type (type_identifier) @vartype)])
(field_declaration name: (field_identifier) @var type: [(type_identifier) @vartype (pointer_type (type_identifier) @vartype)])
