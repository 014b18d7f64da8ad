(function_definition name: (identifier) @name) @def.function
(class_definition name: (identifier) @name) @def.class
(module (expression_statement (assignment left: (identifier) @name) @def.constant))
(class_definition superclasses: (argument_list [(identifier) @base (attribute attribute: (identifier) @base)]))
