(class_declaration name: (identifier) @name) @def.class
(record_declaration name: (identifier) @name) @def.class
(enum_declaration name: (identifier) @name) @def.class
(interface_declaration name: (identifier) @name) @def.interface
(annotation_type_declaration name: (identifier) @name) @def.interface
(method_declaration name: (identifier) @name) @def.method
(constructor_declaration name: (identifier) @name) @def.method
(superclass [(type_identifier) @base (generic_type (type_identifier) @base)])
(super_interfaces (type_list [(type_identifier) @base (generic_type (type_identifier) @base)]))
(extends_interfaces (type_list [(type_identifier) @base (generic_type (type_identifier) @base)]))
(import_declaration) @import
(method_invocation object: (_)? @receiver name: (identifier) @callee)
(object_creation_expression type: [(type_identifier) @callee (generic_type (type_identifier) @callee)])
(type_identifier) @use
(local_variable_declaration type: [(type_identifier) @vartype (generic_type (type_identifier) @vartype)] declarator: (variable_declarator name: (identifier) @var))
(field_declaration type: [(type_identifier) @vartype (generic_type (type_identifier) @vartype)] declarator: (variable_declarator name: (identifier) @var))
(formal_parameter type: [(type_identifier) @vartype (generic_type (type_identifier) @vartype)] name: (identifier) @var)
(marker_annotation name: (identifier) @attribute)
(annotation name: (identifier) @attribute)
