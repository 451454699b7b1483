// What the lake needs in a subscription: a storage account with hierarchical namespace and three
// containers, an identity for the runs, and, where asked for, a Databricks workspace with its
// Access Connector. docs/how-to/azure.md says the same in words, and what Fabric needs, which has no
// resources here.

targetScope = 'resourceGroup'

@description('Start of all names: 3 to 11 lower-case letters and digits.')
@minLength(3)
@maxLength(11)
param prefix string

@description('Region of everything.')
param location string = resourceGroup().location

@description('Whether a Databricks workspace and its Access Connector are made.')
param withDatabricks bool = false

@description('Object ids of Entra groups whose members may read the lake.')
param readers array = []

@description('Issuer of the tokens of a cluster or CI that runs the lakehouse; empty for none.')
param workloadIssuer string = ''

@description('Subject of these tokens, such as system:serviceaccount:lakehouse:runner.')
param workloadSubject string = ''

@description('Public addresses or ranges that may reach the account, such as 203.0.113.0/24. With none, and no subnets, it is not reachable from public networks at all: give it private endpoints.')
param allowedAddresses array = []

@description('Resource ids of subnets with the service endpoint Microsoft.Storage that may reach the account.')
param allowedSubnets array = []

@description('Days for which deleted blobs and containers can be brought back.')
@minValue(1)
@maxValue(365)
param retentionDays int = 30

@description('Resource id of a Log Analytics workspace for the diagnostic logs; empty: one is made.')
param logWorkspaceId string = ''

var contributorRole = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
var readerRole = '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1'
var someNetworks = !empty(allowedAddresses) || !empty(allowedSubnets)
var containerNames = [
  'lake'
  'landing'
  'models'
]

resource storage 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: take('${prefix}${uniqueString(resourceGroup().id)}', 24)
  location: location
  kind: 'StorageV2'
  sku: {
    name: 'Standard_ZRS'
  }
  properties: {
    isHnsEnabled: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    allowBlobPublicAccess: false
    // Account keys and account signatures open everything to everyone who has them.
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    allowCrossTenantReplication: false
    publicNetworkAccess: someNetworks ? 'Enabled' : 'Disabled'
    networkAcls: {
      defaultAction: 'Deny'
      bypass: 'None'
      ipRules: [
        for address in allowedAddresses: {
          value: address
          action: 'Allow'
        }
      ]
      virtualNetworkRules: [
        for subnet in allowedSubnets: {
          id: subnet
          action: 'Allow'
        }
      ]
      // By its identity, not by where it is.
      resourceAccessRules: withDatabricks ? [
        {
          tenantId: tenant().tenantId
          resourceId: connector.id
        }
      ] : []
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2023-05-01' = {
  parent: storage
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: retentionDays
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: retentionDays
    }
  }
}

resource logs 'Microsoft.OperationalInsights/workspaces@2023-09-01' = if (empty(logWorkspaceId)) {
  name: '${prefix}-logs'
  location: location
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: 90
  }
}

// Who read, wrote and deleted what.
resource blobLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: '${prefix}-blobs'
  scope: blobs
  properties: {
    workspaceId: empty(logWorkspaceId) ? logs.id : logWorkspaceId
    logs: [
      {
        categoryGroup: 'allLogs'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'Transaction'
        enabled: true
      }
    ]
  }
}

resource containers 'Microsoft.Storage/storageAccounts/blobServices/containers@2023-05-01' = [
  for name in containerNames: {
    parent: blobs
    name: name
  }
]

resource runner 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: '${prefix}-runner'
  location: location
}

resource federation 'Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials@2023-01-31' = if (!empty(workloadIssuer)) {
  parent: runner
  name: 'workload'
  properties: {
    issuer: workloadIssuer
    subject: workloadSubject
    audiences: [
      'api://AzureADTokenExchange'
    ]
  }
}

resource runnerWrites 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(storage.id, runner.id, contributorRole)
  scope: storage
  properties: {
    principalId: runner.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', contributorRole)
  }
}

resource readersRead 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for reader in readers: {
    name: guid(storage.id, reader, readerRole)
    scope: containers[0]
    properties: {
      principalId: reader
      principalType: 'Group'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', readerRole)
    }
  }
]

resource connector 'Microsoft.Databricks/accessConnectors@2024-05-01' = if (withDatabricks) {
  name: '${prefix}-connector'
  location: location
  identity: {
    type: 'SystemAssigned'
  }
}

resource connectorWrites 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (withDatabricks) {
  name: guid(storage.id, '${prefix}-connector', contributorRole)
  scope: storage
  properties: {
    principalId: connector!.identity.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', contributorRole)
  }
}

resource workspace 'Microsoft.Databricks/workspaces@2024-05-01' = if (withDatabricks) {
  name: '${prefix}-databricks'
  location: location
  sku: {
    name: 'premium'
  }
  properties: {
    managedResourceGroupId: subscriptionResourceId('Microsoft.Resources/resourceGroups', '${prefix}-databricks-managed')
  }
}

@description('For LAKEHOUSE_ROOT.')
output root string = 'abfss://lake@${storage.name}.dfs.${environment().suffixes.storage}/lakehouse'

@description('For LAKEHOUSE_LANDING.')
output landing string = 'abfss://landing@${storage.name}.dfs.${environment().suffixes.storage}/in'

@description('For LAKEHOUSE_MLFLOW_ARTIFACTS.')
output artifacts string = 'abfss://models@${storage.name}.dfs.${environment().suffixes.storage}/mlflow'

@description('For LAKEHOUSE_IDENTITY on a machine that has the runner identity.')
output identity string = '{"kind": "managed_identity", "client_id": "${runner.properties.clientId}"}'

@description('For the storage credential in Unity Catalog.')
output connectorId string = withDatabricks ? connector.id : ''
